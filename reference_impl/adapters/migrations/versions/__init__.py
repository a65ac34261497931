"""One module a step. A step only adds: instances of the release before it go on working during an upgrade."""
