"""Tests of the module as other modules use it: on an engine, by its public functions alone."""

import json

import dagger
from dagger import dag, function, object_type

SMOKE = {"source_group": "smoke"}


@object_type
class Tests:
    """What a caller of the module relies on. `dagger call all`, or `dagger check`."""

    @function
    async def all(self) -> None:
        """Every test, one after the other: all of them look at the same artifact, which is made once."""
        for test in (self.whole, self.reused, self.judged, self.planned, self.refused):
            await test()

    @function
    @dagger.check
    async def whole(self) -> None:
        """The first example gives an artifact that is whole: its files are those of its manifest."""
        artifact = dag.examples().diffusion_gt_whole_or_an_error()
        manifest = await _manifest(artifact)
        files = {file["name"] for case in manifest["cases"].values() for file in case["files"]}
        assert files, "no file"
        assert set(await artifact.entries()) == {"manifest.json", *files}

    @function
    @dagger.check
    async def reused(self) -> None:
        """What an earlier artifact holds is not made again."""
        first = await dag.diffusion_gt().generate(**SMOKE).sync()
        again = await _manifest(dag.examples().diffusion_gt_generate_previous(first))
        assert again["run"]["made"] == []

    @function
    @dagger.check
    async def judged(self) -> None:
        """The gate lets the artifact pass; held against itself, nothing has changed."""
        artifact = await dag.diffusion_gt().generate(**SMOKE).sync()
        compared = dag.diffusion_gt().compare(artifact, published=artifact)
        assert json.loads(await compared.file("compare.json").contents())["same"]
        page = await dag.examples().diffusion_gt_summary_page(artifact)
        assert all(case.replace("_", r"\_") in page for case in (await _manifest(artifact))["cases"])

    @function
    @dagger.check
    async def planned(self) -> None:
        """The matrix has every official case once."""
        jobs = json.loads(await dag.examples().diffusion_gt_matrix_official())["include"]
        cases = [case for job in jobs for case in job["case_ids"].split()]
        assert len(cases) == len(set(cases)) == sum(job["case_count"] for job in jobs)
        plan = await dag.examples().diffusion_gt_plan_official()
        assert all(case in plan for case in cases)

    @function
    @dagger.check
    async def refused(self) -> None:
        """A case that is not there is an error that names the near ones."""
        said = ""
        try:
            await dag.diffusion_gt().generate(source_group="smoke", case_ids=["smoke_t2x"]).sync()
        except dagger.QueryError as error:
            said = str(error)
        assert "did you mean smoke_t2" in said, said or "a case that is not there was made"


async def _manifest(artifact: dagger.Directory) -> dict:
    return json.loads(await artifact.file("manifest.json").contents())
