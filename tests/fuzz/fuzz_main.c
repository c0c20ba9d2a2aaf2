/* SPDX-License-Identifier: MIT */
/*
 * A harness as an ordinary program: runs it once for each file that is named, and for each file of
 * a directory that is named. So tests cover the corpus, and a find is repeated, with any compiler.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_MAX);
    FUZZ_NEED(file != NULL && bytes != NULL);
    size_t size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    /* Of that size exactly, so that memory checkers see a read beyond its end. */
    uint8_t *exact = malloc(size + (size == 0));
    FUZZ_NEED(exact != NULL);
    memcpy(exact, bytes, size);
    free(bytes);
    fprintf(stderr, "%s\n", path); /* before: the last one named is the find */
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static int run_directory(const char *path)
{
    struct dirent **list;
    int ran = 0, count = scandir(path, &list, NULL, alphasort);
    FUZZ_NEED(count >= 0);
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, list[i]->d_name);
        if (list[i]->d_name[0] != '.')
            ran += run_file(name);
        free(list[i]);
    }
    free(list);
    return ran;
}

int main(int argc, char *argv[])
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        FUZZ_NEED(stat(argv[i], &status) == 0);
        ran += S_ISDIR(status.st_mode) ? run_directory(argv[i]) : run_file(argv[i]);
    }
    printf("%d inputs passed\n", ran);
    return ran > 0 ? 0 : 1;
}
