"""A chat service whose conversations outlive the process: see `app.py`."""
