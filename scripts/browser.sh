# What the browser tests share; sourced by their `run` with its options, in the project's root. Sets $python and $keep.
#
# They need Chromium. Where they cannot run they say why, and that is no failure, but with --require (or CI=true) it is; Chromium is then
# installed where apt-get is there. --keep keeps the screenshots beside the test; without it they go to target/.

required=$([ "${CI:-}" = true ] && echo yes || true)
keep=()
for option in "$@"; do
    case "$option" in
        --require) required=yes ;;
        --keep) keep+=("$option") ;;
        *) echo "usage: $0 [--require] [--keep]" >&2; exit 2 ;;
    esac
done

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
has_chromium || cannot "there is no Chromium; install it (Debian: sudo apt install chromium)"
venv=target/browser-venv
if ! "$venv/bin/python" -c 'import playwright' 2> /dev/null; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/browser-requirements.txt ||
        cannot "Playwright could not be installed; is there a network?"
fi
python=$venv/bin/python
