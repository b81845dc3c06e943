"""What is to be run, as plain data: budgets, references, suites, run specifications, the plan."""
