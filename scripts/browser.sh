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
    echo "browser test skipped: $1" | tee -a "${METAMERS_SKIPPED:-/dev/null}"
    exit 0
}

has_chromium() { command -v chromium chromium-browser google-chrome > /dev/null; }

# Installs a package of Debian if a test that cannot run would fail; the caller looks whether it worked.
install() {
    [ -n "$required" ] && command -v apt-get > /dev/null || return 0
    echo "browser test: installing $1"
    local root
    root=$([ "$(id -u)" = 0 ] || echo "sudo -n")
    { $root apt-get -qq update && $root apt-get -qq install -y --no-install-recommends "$1" > /dev/null; } || true
}

has_chromium || install chromium
has_chromium || cannot "Chromium is not installed; install it (Debian: sudo apt install chromium)"

has_firefox() { command -v firefox-esr firefox > /dev/null; }
# Sets up Firefox, with which some tests run too. Without it they say that they skip this part.
install_firefox() {
    has_firefox || install firefox-esr
    has_firefox || echo "browser test without Firefox: install it (Debian: sudo apt install firefox-esr)" | tee -a "${METAMERS_SKIPPED:-/dev/null}"
}
venv=target/browser-venv
if ! cmp -s scripts/browser-requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/browser-requirements.txt ||
        cannot "Playwright cannot be installed; check the network connection"
    cp scripts/browser-requirements.txt "$venv/requirements.txt"
fi
python=$venv/bin/python
