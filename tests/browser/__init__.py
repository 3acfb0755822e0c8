"""Labs and notebooks in a real browser; one JupyterLab serves the package."""
