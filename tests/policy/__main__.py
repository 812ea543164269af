"""python -m tests.policy: print the policies and the matrix of mutants, as docs/policies.md has them."""

from tests.policy.mutants import policies_table, table

print(policies_table(), table(), sep="\n\n")
