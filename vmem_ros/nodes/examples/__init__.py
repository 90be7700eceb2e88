"""Short programs to begin with; docs/examples.md says what each shows."""
