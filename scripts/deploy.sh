#!/bin/sh
# Builds the functions with SAM and deploys the stack. The first time it asks for
# every parameter; later it uses the answers in samconfig.toml. ARCH is the
# architecture (arm64, x86_64); unset means the stack's, or arm64. Arguments go to sam
# deploy.
set -eu
cd "$(dirname "$0")/.."
answers=samconfig.toml

stop() {
	printf '%s\n' "$@" >&2
	exit 1
}

# answer NAME prints an answer given to sam deploy --guided, if there is one.
answer() {
	[ ! -f "$answers" ] || sed -n "s/^$1 *= *\"\([^\"]*\)\".*/\1/p" "$answers" | head -n 1
}

command -v sam >/dev/null || stop \
	'make deploy needs SAM CLI; get it with: pipx install aws-sam-cli' \
	'or see https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html'
command -v aws >/dev/null || stop \
	'make deploy needs the AWS CLI, to show the account that it changes; get it with: pipx install awscli' \
	'or see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'

# Account and region are fixed before anything is built, and passed to SAM.
profile=$(answer profile)
export AWS_PROFILE="${AWS_PROFILE:-$profile}"
[ -n "$AWS_PROFILE" ] || unset AWS_PROFILE
before=$(answer region)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-${before:-$(aws configure get region || true)}}}
[ -n "$region" ] || stop 'no region is set; set AWS_REGION'
[ -z "$before" ] || [ "$before" = "$region" ] || stop \
	"the stack was deployed to $before, and AWS_REGION is $region; unset it, or move $answers away to deploy another stack"
identity=$(aws sts get-caller-identity --query '[Account, Arn]' --output text) || stop \
	'AWS rejects the credentials; sign in (aws sso login), or set AWS_PROFILE'
stack=$(answer stack_name)
echo "stack   ${stack:-not named yet}"
printf 'account %s, as %s\n' $identity
echo "region  $region"
if [ -t 0 ]; then
	printf 'Go on? [y/N] '
	read -r agreed
	case $agreed in
	y | Y | yes) ;;
	*) stop 'nothing was changed' ;;
	esac
fi

# The architecture of the build must be the stack's.
[ ! -f "$answers" ] || deployed=$(sed -n 's/.*Architecture=\\*"\{0,1\}\([a-z0-9_]*\).*/\1/p' "$answers" | head -n 1)
arch=${ARCH:-${deployed:-arm64}}
[ "$arch" != amd64 ] || arch=x86_64
[ -z "${deployed:-}" ] || [ "$deployed" = "$arch" ] || stop \
	"the stack has $deployed, and ARCH is $arch; change Architecture in $answers too"

# As scripts/build.sh builds.
CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false -tags=lambda.norpc "-ldflags=-s -w"' \
	sam build --parameter-overrides "Architecture=$arch"

if [ -f "$answers" ]; then
	exec sam deploy --region "$region" "$@"
fi
echo 'Keep Architecture as shown, and keep samconfig.toml: the next make deploy uses its answers.'
exec sam deploy --guided --region "$region" --stack-name tokenvend --capabilities CAPABILITY_IAM \
	--parameter-overrides "Architecture=$arch" "$@"
