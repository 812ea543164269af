"""Pulumi's entry into the folder as a plugin: makes firewalls for programs in other languages."""

from kubeports.provider import main

if __name__ == "__main__":
    main()
