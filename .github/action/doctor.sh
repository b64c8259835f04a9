#!/usr/bin/env bash
# What the Action runs: `xcompat doctor` for each list, as annotations, a summary and outputs.
#
# It reads the variables REQUIREMENTS (files, one per line), NEED and IGNORE (words), PYTHON_VERSION,
# PLATFORM, LANGUAGE, STRICT, FAIL_ON and XCOMPAT (what to install); and those that GitHub sets.
set -euo pipefail

case "$FAIL_ON" in
    incompatible | unknown | never) ;;
    *) echo "::error::fail-on is incompatible, unknown or never, not \`$FAIL_ON\`"; exit 2 ;;
esac

environment="$RUNNER_TEMP/xcompat-doctor"
"$(command -v python3 || command -v python)" -m venv "$environment"
[ -d "$environment/bin" ] && bin="$environment/bin" || bin="$environment/Scripts"
"$bin/python" -m pip install --quiet --disable-pip-version-check "$XCOMPAT"

options=(--no-gpu)
for word in ${NEED//,/ }; do options+=(--need "$word"); done
for word in ${IGNORE//,/ }; do options+=(--ignore "$word"); done
[ -z "$PYTHON_VERSION" ] || options+=(--python-version "$PYTHON_VERSION")
[ -z "$PLATFORM" ] || options+=(--platform "$PLATFORM")
[ -z "$LANGUAGE" ] || options+=(--language "$LANGUAGE")
[ "$STRICT" != true ] || options+=(--strict)

# The worst of all lists: 0 compatible, 3 unknown, 1 incompatible; anything else could not look.
worst=0
rank() { case "$1" in 0) echo 0 ;; 3) echo 1 ;; 1) echo 2 ;; *) echo 3 ;; esac; }

results="$RUNNER_TEMP/xcompat-sarif"
mkdir -p "$results"
number=0
while IFS= read -r file; do
    [ -n "$file" ] || continue
    number=$((number + 1))
    status=0
    "$bin/xcompat" doctor -r "$file" "${options[@]}" --format github || status=$?
    if [ "$(rank "$status")" = 3 ]; then exit "$status"; fi
    if [ "$(rank "$status")" -gt "$(rank "$worst")" ]; then worst=$status; fi
    {
        # shellcheck disable=SC2016 # Markdown's own
        printf '## `xcompat doctor -r %s`\n\n' "$file"
        "$bin/xcompat" doctor -r "$file" "${options[@]}" --format markdown || true
    } >> "$GITHUB_STEP_SUMMARY"
    "$bin/xcompat" doctor -r "$file" "${options[@]}" --format sarif > "$results/$number.sarif" || true
done <<< "$REQUIREMENTS"
if [ "$number" = 0 ]; then echo "::error::no requirements file is named"; exit 2; fi

case "$worst" in 0) verdict=compatible ;; 3) verdict=unknown ;; *) verdict=incompatible ;; esac
{
    echo "verdict=$verdict"
    echo "sarif=$results"
} >> "$GITHUB_OUTPUT"
case "$FAIL_ON,$verdict" in
    incompatible,incompatible | unknown,incompatible | unknown,unknown) exit "$worst" ;;
esac
