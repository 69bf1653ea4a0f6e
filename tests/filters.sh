# For scripts that run a part of the tests: libtest calls "0 passed" a success, so that a renamed test would be left out unnoticed.

# Fails unless each of the filters $2 ... matches a test of the listing $1 (`cargo test ... -- --list`).
each_matches() {
    local listing=$1 filter
    for filter in "${@:2}"; do
        grep -q -- "$filter.*: test$" <<< "$listing" || { echo "no test is named *$filter*"; exit 1; }
    done
}
