"""The version of this package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tokenvend")
except PackageNotFoundError:  # a copy of the source that is not installed
    __version__ = "devel"
