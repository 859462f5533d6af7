"""Examples of the module's functions, for the Daggerverse, which shows each beside the function in its name."""

import dagger
from dagger import dag, function, object_type


@object_type
class Examples:
    """How to call diffusion-gt from a module of your own."""

    @function
    async def diffusion_gt__whole_or_an_error(self) -> dagger.Directory:
        """Ground truth that is whole, or an error: a call that fails would export nothing, so the verdict is a call."""
        artifact = dag.diffusion_gt().generate(source_group="smoke")
        await dag.diffusion_gt().verdict(artifact)
        return artifact

    @function
    def diffusion_gt_generate__smoke(self) -> dagger.Directory:
        """Images of tiny models, which need neither a GPU nor a token."""
        return dag.diffusion_gt().generate(source_group="smoke")

    @function
    def diffusion_gt_generate__official(self, hf_token: dagger.Secret, case_ids: list[str]) -> dagger.Directory:
        """Official cases by their ids, on the GPUs of this engine."""
        return dag.diffusion_gt().generate(official=True, case_ids=case_ids, hf_token=hf_token)

    @function
    def diffusion_gt_generate__previous(self, previous: dagger.Directory) -> dagger.Directory:
        """What an earlier artifact holds is not made again."""
        return dag.diffusion_gt().generate(source_group="smoke", previous=previous)

    @function
    def diffusion_gt_generate__cases_of_your_own(self, cases: dagger.Directory) -> dagger.Directory:
        """The official cases of a folder of case files: a new model needs data, and no code."""
        return dag.diffusion_gt().generate(official=True, cases=cases)

    @function
    async def diffusion_gt_plan__official(self) -> str:
        """What a run of all official cases would be."""
        return await dag.diffusion_gt().plan(official=True)

    @function
    async def diffusion_gt_matrix__official(self) -> str:
        """The same as the matrix of a CI: a job for each model."""
        return await dag.diffusion_gt().matrix(official=True)

    @function
    async def diffusion_gt_check__published(self, artifact: dagger.Directory, published: dagger.Directory) -> str:
        """The quality gate, against what is published; an error names each bad file."""
        return await dag.diffusion_gt().check(artifact, published=published)

    @function
    def diffusion_gt_compare__serving_engine(
        self, artifact: dagger.Directory, outputs: dagger.Directory
    ) -> dagger.Directory:
        """How far the outputs of a serving engine are from the ground truth: report.html, compare.json, junit.xml."""
        return dag.diffusion_gt().compare(artifact, engine=outputs)

    @function
    async def diffusion_gt_publish__one_commit(self, artifact: dagger.Directory, to: str, token: dagger.Secret) -> str:
        """One commit of the finished cases in a data repository, or none if nothing is new."""
        return await dag.diffusion_gt().publish(artifact, to=to, token=token)

    @function
    async def diffusion_gt_summary__page(self, artifact: dagger.Directory) -> str:
        """The table of cases, for the page of a CI run."""
        return await dag.diffusion_gt().summary(artifact).file("summary.md").contents()

    @function
    def diffusion_gt_reproduce__published(self, published: dagger.Directory) -> dagger.Directory:
        """Make the cases of a manifest again, and say byte for byte what differs."""
        return dag.diffusion_gt().reproduce(published)

    @function
    def diffusion_gt_runner__environment(self) -> dagger.Container:
        """The container that runs a source's cases, to open a terminal in."""
        return dag.diffusion_gt().runner(dagger.DiffusionGtSource.SMOKE)
