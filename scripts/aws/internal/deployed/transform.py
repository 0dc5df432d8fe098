"""Prints a template of the Serverless Application Model as CloudFormation, in JSON.

The arguments are the template, its parameters as JSON, and the bucket that has the
functions' zips. SAM's own translator does the work, as it does in AWS.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator refuses to work without a region

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402


class NoManagedPolicies:
    """The template names no managed policy by its name alone."""

    def load(self):
        return {}


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        properties = resource["Properties"]
        properties["CodeUri"] = f"s3://{sys.argv[3]}/{properties['CodeUri']}"
json.dump(transform(template, json.loads(sys.argv[2]), NoManagedPolicies()), sys.stdout)
