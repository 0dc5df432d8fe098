#!/bin/sh
# Builds the functions with SAM and deploys the stack.
#
# In a terminal it asks for every parameter the first time, and later uses the answers
# in samconfig.toml; --config-env NAME among the arguments uses that section of it.
# With STACK it asks nothing: parameters come from the file PARAMETERS, one NAME=VALUE
# a line. One that is not there keeps its value, or has its default in a new stack.
# ARCH is the architecture (arm64, x86_64); unset means the stack's, or arm64. Arguments
# go to sam deploy.
set -eu
cd "$(dirname "$0")/.."
answers=samconfig.toml STACK=${STACK:-} PARAMETERS=${PARAMETERS:-} overrides=

stop() {
	printf '%s\n' "$@" >&2
	exit 1
}

# argument OPTION ARGUMENT… prints the value of an option among arguments.
argument() {
	option=$1
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		"$option") echo "${2:-}" ;;
		"$option"=*) echo "${1#*=}" ;;
		esac
		shift
	done
}

# section prints the answers of this environment, and not those of another.
section() {
	[ -z "$STACK" ] && [ -f "$answers" ] || return 0
	for part in deploy global; do
		sed -n "/^\[$environment\.$part\.parameters\]/,/^\[/p" "$answers"
	done
}

# answer NAME prints an answer given to sam deploy --guided, if there is one.
answer() {
	section | sed -n "s/^$1 *= *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# given NAME prints the value of a parameter in PARAMETERS, or in the answers.
given() {
	if [ -n "$PARAMETERS" ]; then
		sed -n "s/^$1=//p" "$PARAMETERS" | head -n 1
	else
		section | sed -n "s/^parameter_overrides.*[\" ]$1=\\\\*\"\{0,1\}\([^\\\\\" ]*\).*/\1/p" | head -n 1
	fi
}

# override NAME VALUE sets a parameter.
override() {
	overrides="$overrides${overrides:+ }$1=\"$2\""
}

# deployed QUERY prints what CloudFormation says of the stack; nothing without a stack.
deployed() {
	[ -n "$stack" ] || return 0
	found=$(aws cloudformation describe-stacks --region "$region" --stack-name "$stack" --query "Stacks[0].$1" --output text 2>/dev/null) || return 0
	[ "$found" = None ] || echo "$found"
}

# check_updatable stops at a stack that CloudFormation can only delete, and says how to
# go on.
check_updatable() {
	status=$(deployed StackStatus)
	case $status in
	ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED) ;;
	*) return 0 ;;
	esac
	of="--region $region --stack-name $stack"
	printf '%s\n' "the stack $stack is in the state $status, in which CloudFormation can only delete it. The first command shows what failed:" \
		"  aws cloudformation describe-stack-events $of --query 'StackEvents[?ends_with(ResourceStatus, \`FAILED\`)].[LogicalResourceId, ResourceStatusReason]' --output text" \
		"  aws cloudformation delete-stack $of" \
		"  aws cloudformation wait stack-delete-complete $of" >&2
	table=$(aws cloudformation describe-stack-resources $of --logical-resource-id Tokens \
		--query 'StackResources[0].PhysicalResourceId' --output text 2>/dev/null) || table=None
	[ "${table:-None}" = None ] || printf '%s\n' 'The table stays. It is empty when the stack never worked; then delete it as well:' \
		"  go run ./scripts/tokenvend stack delete-table --region $region $table" >&2
	stop 'Then run make deploy again.'
}

# check_organization refuses a parameter that was removed. SAM would ignore it.
check_organization() {
	organization=$({
		section
		[ -z "$PARAMETERS" ] || cat "$PARAMETERS"
		printf '%s\n' "$@"
	} | sed -nE 's/.*OrganizationId(=|,ParameterValue=)[\\"]*([^]\\", ]+).*/\2/p' | head -n 1)
	[ -z "$organization" ] || stop \
		"OrganizationId is $organization, and this parameter was removed: it refused only callers that IAM refuses too" \
		'remove the value; principals of other accounts cannot call the API'
}

# read_parameters sets the parameters of PARAMETERS.
read_parameters() {
	names=$(sed -n '/^Parameters:/,/^Rules:/s/^  \([A-Za-z0-9]*\):$/\1/p' template.yaml)
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		'' | '#'*) continue ;;
		*[\"\\]*) stop "$PARAMETERS: $line: no parameter has a quote or a backslash" ;;
		esac
		name=${line%%=*}
		case "
$names
" in
		*"
$name
"*) [ "$name" != "$line" ] || stop "$PARAMETERS: $line: write NAME=VALUE" ;;
		*) stop "$PARAMETERS: $line: the template has no parameter $name" ;;
		esac
		[ "$name" = Architecture ] || override "$name" "${line#*=}"
	done <"$PARAMETERS"
}

# parameter NAME prints the value of a parameter of the stack.
parameter() {
	deployed "Parameters[?ParameterKey=='$1'].ParameterValue | [0]"
}

# check_reservation sets reserve to what ReserveRenewer can be. Lambda keeps 100
# concurrent executions that no function reserves. Without permission to ask, what is
# given remains.
check_reservation() {
	reserve=$(given ReserveRenewer)
	check_consents
	[ "$reserve" != no ] && [ "$(parameter ReserveRenewer)" != yes ] || return 0
	unreserved=$(unreserved) || return 0
	[ "$unreserved" -le 100 ] || return 0
	[ "$reserve" != yes ] || stop \
		"ReserveRenewer is yes, and this account has $unreserved unreserved concurrent executions, of which Lambda keeps 100; set it to no, or raise the quota"
	reserve=no
}

# check_consents stops if ConsentConcurrency reserves more than Lambda allows, besides
# what the stack has reserved already and the renewer's one.
check_consents() {
	consents=$(given ConsentConcurrency)
	case $consents in '' | 0 | *[!0-9]*) return 0 ;; esac
	had=$(parameter ConsentConcurrency)
	more=$((consents - ${had:-0}))
	[ "$more" -gt 0 ] && unreserved=$(unreserved) || return 0
	[ "$reserve" = no ] || [ "$(parameter ReserveRenewer)" = yes ] || more=$((more + 1))
	[ $((unreserved - more)) -ge 100 ] || stop \
		"ConsentConcurrency is $consents, and this account has $unreserved unreserved concurrent executions, of which Lambda keeps 100; reserve fewer, or raise the quota"
}

# unreserved prints the account's concurrent executions that no function reserves.
unreserved() {
	aws lambda get-account-settings --region "$region" --query AccountLimit.UnreservedConcurrentExecutions --output text
}

# offer_consents offers to reserve executions for the public pages, where a person
# answers and the account has 10 besides the renewer's.
offer_consents() {
	[ -z "$STACK" ] && [ -z "$(given ConsentConcurrency)" ] && unreserved=$(unreserved) || return 0
	[ "$unreserved" -ge 111 ] || return 0
	echo "ConsentConcurrency is 10: the public pages cannot use up the account's $unreserved concurrent executions"
	override ConsentConcurrency 10
}

# fit_account chooses for a new stack what this account allows. API Gateway has one log
# role for all stacks.
fit_account() {
	check_reservation
	[ -z "$(deployed StackStatus)" ] || return 0
	if [ "$reserve" = no ] && [ -z "$(given ReserveRenewer)" ]; then
		echo "ReserveRenewer is no: this account has $unreserved unreserved concurrent executions, and Lambda keeps 100"
		override ReserveRenewer no
	fi
	role=$(aws apigateway get-account --region "$region" --query cloudwatchRoleArn --output text) || role=None
	if [ "${role:-None}" != None ] && [ -z "$(given GatewayLogRole)" ]; then
		echo 'GatewayLogRole is existing: API Gateway has a log role in this account and region'
		override GatewayLogRole existing
	fi
	offer_consents
}

# deploy OPTION… deploys what was built.
deploy() {
	sam deploy --region "$region" "$@" || {
		code=$?
		stack=${STACK:-$(answer stack_name)}
		check_updatable
		exit $code
	}
}

command -v sam >/dev/null || stop \
	'make deploy needs SAM CLI; get it with: pipx install aws-sam-cli' \
	'or see https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html'
command -v aws >/dev/null || stop \
	'make deploy needs the AWS CLI, to show the account that it changes; get it with: pipx install awscli' \
	'or see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html'
environment=$(argument --config-env "$@")
environment=${environment:-default}
case $environment in
*[!A-Za-z0-9_-]*) stop "--config-env is '$environment'; use letters, digits, - and _" ;;
esac
[ -z "$PARAMETERS" ] || [ -n "$STACK" ] || stop 'PARAMETERS needs STACK, the name of the stack'
[ -z "$PARAMETERS" ] || [ -r "$PARAMETERS" ] || stop "PARAMETERS is $PARAMETERS, which cannot be read"
check_organization "$@"
[ -z "$PARAMETERS" ] || read_parameters

# Account and region are fixed before anything is built, and passed to SAM.
profile=$(answer profile)
export AWS_PROFILE="${AWS_PROFILE:-$profile}"
[ -n "$AWS_PROFILE" ] || unset AWS_PROFILE
before=$(answer region)
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-${before:-$(aws configure get region || true)}}}
[ -n "$region" ] || stop 'no region is set; set AWS_REGION'
[ -z "$before" ] || [ "$before" = "$region" ] || stop \
	"the stack was deployed to $before, and AWS_REGION is $region; unset it, or use --config-env for another stack"
identity=$(aws sts get-caller-identity --query '[Account, Arn]' --output text) || stop \
	'AWS rejects the credentials; sign in (aws sso login), or set AWS_PROFILE'
stack=${STACK:-$(answer stack_name)}
echo "stack   ${stack:-not named yet}"
printf 'account %s, as %s\n' $identity
echo "region  $region"
if [ -z "$STACK" ] && [ -t 0 ]; then
	printf 'Go on? [y/N] '
	read -r agreed
	case $agreed in
	y | Y | yes) ;;
	*) stop 'nothing was changed' ;;
	esac
fi
check_updatable

# The architecture of the build must be the stack's.
current=$(given Architecture)
current=${current:-$(parameter Architecture)}
arch=${ARCH:-${current:-arm64}}
[ "$arch" != amd64 ] || arch=x86_64
[ -z "$current" ] || [ "$current" = "$arch" ] || stop \
	"the stack has $current, and ARCH is $arch; change Architecture in ${PARAMETERS:-$answers} too"
if [ -n "$STACK" ] || [ -z "$stack" ]; then
	override Architecture "$arch"
	fit_account
else
	check_reservation
fi

CGO_ENABLED=0 GOFLAGS=$(cat scripts/tools/goflags) \
	sam build --parameter-overrides "Architecture=$arch"

if [ -n "$STACK" ]; then
	mkdir -p .aws-sam
	: >.aws-sam/no-answers.toml # those in samconfig.toml are of other stacks
	deploy --config-file "$PWD/.aws-sam/no-answers.toml" --stack-name "$STACK" --capabilities CAPABILITY_IAM --resolve-s3 \
		--no-confirm-changeset --no-fail-on-empty-changeset --parameter-overrides "$overrides" "$@"
elif [ -n "$stack" ]; then
	deploy "$@"
else
	echo "Keep Architecture as shown, and keep $answers: the next make deploy uses its answers."
	deploy --guided --stack-name "tokenvend$([ "$environment" = default ] || echo "-$environment")" --capabilities CAPABILITY_IAM \
		--parameter-overrides "$overrides" "$@"
fi
