import os

# speed is measured with all cores; tests/conftest.py asks for one thread before torch is imported
os.environ.pop("OMP_NUM_THREADS", None)
