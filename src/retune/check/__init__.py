"""Does params.yaml hold together?"""
