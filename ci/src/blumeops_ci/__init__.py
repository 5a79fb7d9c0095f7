"""What the CI of the estate runs: versions, tags, dispatch, the Dagger module and the push by skopeo."""
