PYTHON ?= python3

help:  ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab:  ## open the course in JupyterLab
	@$(PYTHON) course/bootstrap.py lab $(ARGS)

test:  ## run every check and every test; ARGS="-k name" runs some
	@$(PYTHON) course/bootstrap.py test $(ARGS)

install:  ## only install
	@$(PYTHON) course/bootstrap.py install

lock:  ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet -o requirements.lock

.PHONY: help lab test install lock
