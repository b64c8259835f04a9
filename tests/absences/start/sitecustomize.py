"""Python imports this before anything else, where its folder is on PYTHONPATH.

The doctor reads it, as it does in every environment, and finds nothing that is replaced.
"""

import imitations  # noqa: F401
