# Turns schema/NNNN-name.sql files, given in order, into the table of whdb/wh_schema_files.h.
function start(path)
{
    name = path
    sub(/^.*\//, "", name)
    sub(/\.sql$/, "", name)
    version = substr(name, 1, 4) + 0
    if (name !~ /^[0-9][0-9][0-9][0-9]-[a-z0-9-]+$/ || version != last + 1) {
        printf "%s: migrations are named NNNN-name.sql, numbered 0001, 0002, ... without a gap\n", path > "/dev/stderr"
        failed = 1
        exit 1
    }
    if (last > 0)
        print "    },"
    last = version
    printf "    {%d, \"%s\",\n", version, name
}
BEGIN {
    print "/* Made by schema/embed.awk. */"
    print "#include \"whdb/wh_schema_files.h\""
    print ""
    print "const wh_schema_file_t wh_schema_files[] = {"
}
FNR == 1 { start(FILENAME) }
{
    gsub(/\\/, "\\\\")
    gsub(/"/, "\\\"")
    printf "     \"%s\\n\"\n", $0
}
END {
    if (failed)
        exit 1
    print "    },"
    print "    {0, 0, 0}"
    print "};"
}
