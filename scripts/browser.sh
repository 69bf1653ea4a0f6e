# Set-up of the browser tests. Their `run` scripts source this file with their options, in the project's root. Sets $python and $keep.
#
# The tests need Chromium and Playwright. If one is missing, a test prints the reason and is skipped. With --require (or CI=true), Chromium is
# installed by apt-get if possible, and a test that cannot run fails. --keep saves the screenshots beside the test instead of in target/.

required=$([ "${CI:-}" = true ] && echo yes || true)
keep=()
for option in "$@"; do
    case "$option" in
        --require) required=yes ;;
        --keep) keep+=("$option") ;;
        *) echo "usage: $0 [--require] [--keep]" >&2; exit 2 ;;
    esac
done

# Skips the test, or fails with --require, for the given reason.
cannot() {
    [ -z "$required" ] || { echo "browser test: $1" >&2; exit 1; }
    echo "browser test skipped: $1"
    exit 0
}

has_chromium() { command -v chromium chromium-browser google-chrome > /dev/null; }

if ! has_chromium && [ -n "$required" ] && command -v apt-get > /dev/null; then
    echo "browser test: installing Chromium"
    root=$([ "$(id -u)" = 0 ] || echo "sudo -n")
    { $root apt-get -qq update && $root apt-get -qq install -y --no-install-recommends chromium > /dev/null; } || true
fi
has_chromium || cannot "Chromium is not installed; install it (Debian: sudo apt install chromium)"
# Sets up Firefox, with which some tests run too; without it they say that they skip this part.
install_firefox() {
    command -v firefox-esr firefox > /dev/null && return
    if [ -n "$required" ] && command -v apt-get > /dev/null; then
        echo "browser test: installing Firefox"
        root=$([ "$(id -u)" = 0 ] || echo "sudo -n")
        $root apt-get -qq install -y --no-install-recommends firefox-esr > /dev/null || true
    fi
}
venv=target/browser-venv
if ! cmp -s scripts/browser-requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/browser-requirements.txt ||
        cannot "Playwright cannot be installed; check the network connection"
    cp scripts/browser-requirements.txt "$venv/requirements.txt"
fi
python=$venv/bin/python
