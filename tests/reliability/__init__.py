"""What `untrain` survives: kills, full disks, damaged and hostile files, and texts that a page or a terminal would run.

    pytest tests/reliability                     # a sample of every family, as in the ordinary test run
    pytest tests/reliability -m reliability      # everything; prints the table of docs/reliability.md

Each `test_*.py` is one family of attacks. Its docstring says what the family does and what it cannot show. Attacks run
in children that are forked from the test process, so an attempt costs milliseconds and a crash is seen. Where it is
cheap, the same attack also runs against something without a guard, which shows that the attack works. Linux only: the
tests use fork, inotify and /proc.
"""
