#!/usr/bin/env bash
# Ground truth from the first case to the verdict, for any CI that runs a script:
#     gt.sh --official --hf-token env:HF_TOKEN        (the options of `dagger call generate`)
# It needs the Dagger CLI. These variables are optional:
#     GT_MODULE              the Dagger module, instead of the released one
#     GT_PUBLISHED           published GT to check against and compare with, as URL#REF:PATH
#     GT_PUBLISH             the data repository to publish to; GT_PUBLISH_TOKEN may write there
#     GT_PUBLISH_TARGET_DIR  publish into this directory instead of the mode's
#     GT_PUBLISH_BRANCH      publish to this branch instead of the default one
#     GT_REF                 the ref that this runs for: what is not made from main goes to a branch gt/REF
# gt/ gets the artifact, gt-summary/ its table, gt-comparison/ the report. None may exist yet, so that no old file gets in.
set -euo pipefail

call() { dagger call -m "${GT_MODULE:-github.com/OWNER/diffusion-gt@v1}" "$@"; }

for name in gt gt-summary gt-comparison; do
    if [ -e "$name" ]; then
        echo "gt.sh: $name is there already; remove it, or start in another directory" >&2
        exit 2
    fi
done

call generate "$@" --output=gt
call summary --artifact=gt --output=gt-summary
cat gt-summary/summary.md

published=()
if [ -n "${GT_PUBLISHED:-}" ]; then
    published=("--published=$GT_PUBLISHED")
    call compare --artifact=gt "${published[@]}" --output=gt-comparison
fi
sound=true
call check --artifact=gt "${published[@]}" || sound=false

if [ -n "${GT_PUBLISH:-}" ] && [ "$sound" = true ]; then
    to=("--to=$GT_PUBLISH" "--publish-target-dir=${GT_PUBLISH_TARGET_DIR:-}")
    to+=("--branch=${GT_PUBLISH_BRANCH:-}" "--ref=${GT_REF:-}")
    if [ -n "${GT_PUBLISH_TOKEN:-}" ]; then to+=(--token=env:GT_PUBLISH_TOKEN); fi
    call publish --artifact=gt "${to[@]}"
fi

call verdict --artifact=gt # fails if a case failed; the finished cases are published by then
[ "$sound" = true ]
