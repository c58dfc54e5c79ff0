/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_room(void)
{
    int dir = open(mf_test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    MF_CHECK(dir >= 0);
    return dir;
}

static void check_text(int dir, const char *name, const char *text)
{
    char got[64] = "";
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    MF_CHECK(fd >= 0);
    MF_CHECK_INT(read(fd, got, sizeof(got) - 1), strlen(text));
    MF_CHECK_STR(got, text);
    MF_CHECK_INT(close(fd), 0);
}

static size_t count_entries(void)
{
    DIR *d = opendir(mf_test_tmpdir());
    size_t n = 0;

    MF_CHECK(d != NULL);
    while (readdir(d) != NULL) {
        n++;
    }
    MF_CHECK_INT(closedir(d), 0);
    return n - 2; /* itself and the one above */
}

MF_TEST(file, replace_puts_the_new_bytes_in_place_of_the_old)
{
    int dir = open_room();

    MF_CHECK_OK(mf_file_replace(dir, "notes", "a longer text", 13));
    MF_CHECK_OK(mf_file_replace(dir, "notes", "short", 5));
    check_text(dir, "notes", "short");
    MF_CHECK_INT(count_entries(), 1);
    MF_CHECK_INT(close(dir), 0);
}

MF_TEST(file, replace_that_fails_leaves_nothing_beside)
{
    int dir = open_room();

    MF_CHECK_INT(mkdirat(dir, "taken", 0755), 0);
    MF_CHECK_INT(mf_file_replace(dir, "taken", "text", 4), -EISDIR);
    MF_CHECK_INT(count_entries(), 1);
    MF_CHECK_INT(mf_file_replace(dir, "no/folder", "text", 4), -ENOENT);
    MF_CHECK_INT(close(dir), 0);
}

MF_TEST(file, write_all_says_why_it_could_not)
{
    int dir = open_room();
    int fd = openat(dir, "read", O_RDONLY | O_CREAT | O_CLOEXEC, 0644);

    MF_CHECK(fd >= 0);
    MF_CHECK_INT(mf_file_write_all(fd, "x", 1), -EBADF);
    MF_CHECK_INT(mf_file_write_all(fd, "x", 0), 0);
    MF_CHECK_INT(close(fd), 0);
    MF_CHECK_INT(close(dir), 0);
}

MF_TEST(file, hex_writes_two_digits_a_byte_in_lower_case)
{
    char out[9] = "????????";

    mf_hex(out, "\x00\x9f\xA0\xff", 4);
    MF_CHECK_STR(out, "009fa0ff");
    mf_hex(out, "", 0);
    MF_CHECK_STR(out, "");
}
