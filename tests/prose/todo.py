"""What has not been rewritten yet: the beginnings of paths that the prose check leaves out. Make it shorter, never longer."""

TODO = (
    "components/kubeports/audit/",
    "components/kubeports/commands/audit.py",
    "components/kubeports/flows.py",  # the field spelling
    "components/kubeports/policies/",
    "components/kubeports/settings",
    "sandbox/cloud.py",  # the field spelling
)
