/* Runs a fuzz target over its corpus without a fuzz engine, as a TAP test: each file as it is, cut
 * short at every place, and with some bytes changed (the same ones each time). */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "t/fuzz/fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)
#define CUTS_MAX 512
#define CHANGES 512

/* The target gets an exact copy of its input, so that a sanitizer sees one byte too many. */
static void run(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);

    if (copy == NULL)
        abort();
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void run_variations(unsigned char *data, size_t n)
{
    uint32_t seed = 2463534242U;
    size_t step = n / CUTS_MAX + 1;

    run(data, n);
    for (size_t cut = 0; cut < n; cut += step)
        run(data, cut);
    for (int i = 0; i < CHANGES && n > 0; i++) {
        unsigned char was;
        size_t at;

        seed ^= seed << 13; /* xorshift: small, and the same everywhere */
        seed ^= seed >> 17;
        seed ^= seed << 5;
        at = seed % n;
        was = data[at];
        data[at] ^= (unsigned char)(1 + (seed >> 8) % 255);
        run(data, n);
        data[at] = was;
    }
}

static int replay_file(const char *path)
{
    unsigned char *data = malloc(INPUT_MAX);
    FILE *file = fopen(path, "rb");
    size_t n = 0;
    int fine = data != NULL && file != NULL;

    if (fine) {
        n = fread(data, 1, INPUT_MAX, file);
        fine = !ferror(file);
    }
    if (fine)
        run_variations(data, n);
    if (file != NULL)
        fclose(file);
    free(data);
    return fine;
}

/* The corpus of "…/fuzz_jwt" is "$top_srcdir/t/fuzz/corpus/jwt", unless a folder is given. */
static int corpus_path(char *out, size_t size, int argc, char **argv)
{
    const char *top = getenv("top_srcdir");
    const char *name = strstr(argv[0], "fuzz_");
    int n;

    if (argc > 1)
        n = snprintf(out, size, "%s", argv[1]);
    else if (name != NULL)
        n = snprintf(out, size, "%s/t/fuzz/corpus/%s", top != NULL ? top : ".", name + 5);
    else
        return 0;
    return n > 0 && (size_t)n < size;
}

int main(int argc, char **argv)
{
    char folder[PATH_MAX / 2], path[PATH_MAX];
    struct dirent **names;
    int found, done = 0, failed = 0;

    if (!corpus_path(folder, sizeof(folder), argc, argv)) {
        puts("1..1\nnot ok 1 - which corpus?");
        return 1;
    }
    found = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        const char *name = names[i]->d_name;

        if (name[0] != '.' &&
            snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path)) {
            int fine = replay_file(path);

            printf("%sok %d - %s\n", fine ? "" : "not ", ++done, name);
            fflush(stdout);
            failed += !fine;
        }
        free(names[i]);
    }
    if (found >= 0)
        free(names);
    if (done == 0) {
        printf("not ok 1 - %s holds no input\n1..1\n", folder);
        return 1;
    }
    printf("1..%d\n", done);
    return failed != 0;
}
