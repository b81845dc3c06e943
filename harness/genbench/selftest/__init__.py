"""Proofs that ship with the program: every estimator, asked where the answer is known (`genbench selftest`).

A proof is a function without arguments that yields `genbench.Check`s, named by a `SelftestEntry` of the hook
`genbench_selftests`. The harness seeds torch before each.
"""
