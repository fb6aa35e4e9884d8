import os

# The C++ log of missing GPUs would bury the tests' own output; and the numbers shall be the CPU's anywhere.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Tests start programs while gRPC's threads run. Its handlers of fork() can then abort the process; and what is started
# here calls exec() at once, which needs none of them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: threads of one would wait for the other's
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

pytest_plugins = ["screen", "tools"]

# Files that take half a minute or more, the longest first, so that no process is left alone with one at the end.
_LONG = ("test_train.py", "test_android.py", "test_presets.py", "test_conversion.py", "test_kinds.py", "test_loop.py")
_LONG += ("test_packaging.py", "test_verification.py", "test_pretraining.py", "test_stages.py", "test_job.py")
_LONG += ("test_tour.py", "test_replicas.py", "test_evaluate.py", "test_client.py", "test_container.py", "test_fuzz.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


def pytest_configure(config):
    # Not where tests are handed out alone: all would wait while it imports TensorFlow.
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("shared")
