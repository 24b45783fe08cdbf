"""``python -m jobsvc``: the same as the command ``jobsvc``, for children that must run under this interpreter."""

from jobsvc.cli import main

if __name__ == "__main__":
    main()
