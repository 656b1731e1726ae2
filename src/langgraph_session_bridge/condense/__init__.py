"""The condenser: trims long histories before they are saved, and can prove what it keeps."""
