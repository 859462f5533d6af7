"""Jobs as tasks of Slurm's job arrays: by sbatch, squeue and scancel alone.

submitit was weighed: it sends pickled Python calls and fetches pickled answers, which an image without it cannot read.
A task here is a command and a folder, and its answer the events of the runner.
"""
