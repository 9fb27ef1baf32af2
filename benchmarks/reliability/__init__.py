"""What `untrain` survives: kills, full disks, damaged and hostile files, and texts that want to be run.

    python benchmarks/reliability                    # everything, as printed in the documents: about half an hour
    python benchmarks/reliability --short            # a sample of everything, which the tests run
    python benchmarks/reliability --only kills,pages --markdown

Each module is one family of attacks, and says in its first lines what it does and what it cannot show. Attacks run in
children forked from this process, which has imported everything and computed nothing, so that an attempt costs
milliseconds and a crash is seen. Where it is cheap, the same attack is made on something that is not guarded; what it
does there stands in the last column, so that one sees that it bites. Linux only: it uses fork, inotify and /proc.
"""
