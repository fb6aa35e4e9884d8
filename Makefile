# Everything from a bare clone: Python 3.11, 3.12 or 3.13, git and make are all it takes.
#   make demo      trains on synthetic speakers and draws faces from voices that the model has never heard
#   make test      style and tests in the default environment; what needs a tool that is not here is left out, and named
#   make test-all  on Debian installs those tools, and runs the tests in both environments with none left out for want of one
#   make latest    tests in the latest environment
#   make arm64     where Debian's qemu-user-static is: lets tests and tflite.verify run models on the processor of phones
#   make lint      style alone
#   make clean     removes the environments and caches, and leaves runs/ alone
# PYTHON=... takes that Python, in place of the first of python3.12, python3.11, python3.13 and python3 that will do.

DEFAULT := .venv/.installed
LATEST := .venv-latest/.installed
PYTEST := -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test test-all latest arm64 lint clean

demo: $(DEFAULT)
	.venv/bin/python -m s2f_tf.train --workdir=runs/demo
	.venv/bin/python -m s2f_tf.evaluate --workdir=runs/demo
	.venv/bin/python -m s2f_tf.generate --workdir=runs/demo --voice=runs/demo/pictures/held_out-1.wav --out=runs/demo/faces.png
	@echo
	@echo "runs/demo/pictures/held_out.png is the picture to look at:"
	@echo "each row begins with the true face of a speaker whom the model has never heard, and the faces beside it, drawn from"
	@echo "the voice alone, should be like it in age, beard and the shape of head and mouth, and differ in hair, glasses and light."

test: lint
	.venv/bin/python $(PYTEST)

# By pytest's own variable, which the tests in both environments read.
test-all: export PYTEST_ADDOPTS = --every-tool
test-all: $(DEFAULT)
	@set -e; packages=$$(.venv/bin/python tests/tools.py); if [ "$$packages" ]; then \
		echo "Installing $$packages"; \
		sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$sudo apt-get update --quiet=2; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$packages >/dev/null; \
	fi
	$(MAKE) arm64
	$(MAKE) test
	$(MAKE) latest

latest: $(LATEST)
	.venv-latest/bin/python $(PYTEST)

arm64: $(DEFAULT)
	.venv/bin/python -m tflite.arm64

lint: $(DEFAULT)
	.venv/bin/ruff check
	.venv/bin/ruff format --check

clean:
	rm -rf .venv .venv-latest build dist tflite/android/build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEFAULT): requirements/default.txt
	@PYTHON="$(PYTHON)" requirements/install.sh $(@D) default

$(LATEST): requirements/latest.txt
	@PYTHON="$(PYTHON)" requirements/install.sh $(@D) latest
