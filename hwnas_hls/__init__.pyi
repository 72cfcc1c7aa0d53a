from hwnas_hls.api import Run as Run
from hwnas_hls.api import open_run as open_run
from hwnas_hls.api import resume_run as resume_run
from hwnas_hls.api import run_search as run_search
from hwnas_hls.hookspecs import hookimpl as hookimpl
from hwnas_hls.views.comparison import compare_runs as compare_runs

__version__: str
__all__ = ["Run", "__version__", "compare_runs", "hookimpl", "open_run", "resume_run", "run_search"]
