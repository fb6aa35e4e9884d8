# Everything from a bare clone: Python 3.11 or 3.12, git and make are all it takes.
#   make demo      trains on synthetic speakers and draws faces from voices that the model has never heard
#   make test      style and tests in the default environment
#   make latest    tests in the latest environment
#   make arm64     where Debian's qemu-user-static is: lets tests and tflite.verify run models on the processor of phones
#   make lint      style alone
#   make clean     removes the environments and caches, and leaves runs/ alone

PYTHON ?= python3.11

DEFAULT := .venv/.installed
LATEST := .venv-latest/.installed
PYTEST := -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

.PHONY: demo test latest arm64 lint clean

demo: $(DEFAULT)
	.venv/bin/python -m s2f_tf.train --workdir=runs/demo
	.venv/bin/python -m s2f_tf.evaluate --workdir=runs/demo
	.venv/bin/python -m s2f_tf.generate --workdir=runs/demo --voice=runs/demo/pictures/held_out-1.wav --out=runs/demo/faces.png
	@echo "Held-out speakers, true faces beside those drawn from their voices: runs/demo/pictures/held_out.png"

test: lint
	.venv/bin/python $(PYTEST)

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
	$(install)

$(LATEST): requirements/latest.txt
	$(install)

# The stamp is touched last, so an interrupted installation is taken up again.
define install
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	{ echo "error: '$(PYTHON)' is not Python 3.11 or 3.12: name one, as in make PYTHON=python3.12" >&2; exit 1; }
@echo "Installing $< into $(@D): about 2.5 GB on disk, some minutes the first time"
@$(PYTHON) -m venv $(@D)
@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --requirement $<
@touch $@
endef
