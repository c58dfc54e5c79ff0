/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/pg_dsn_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY      "store.postgres.dsn"
#define FILE_KEY "store.postgres.password_file"
#define PORT     MF_SLICE("5432")

static size_t count(const char *list)
{
    size_t n = 1;

    for (; *list != '\0'; list++) {
        n += *list == ',';
    }
    return n;
}

/* Part `at` of a list; a list of one part stands for all. */
static struct mf_slice part(const char *list, size_t at)
{
    const char *end;

    if (list == NULL) {
        return (struct mf_slice){0};
    }
    while (at-- > 0 && strchr(list, ',') != NULL) {
        list = strchr(list, ',') + 1;
    }
    end = strchrnul(list, ',');
    return mf_slice_of(list, (size_t)(end - list));
}

static bool is_v4(const char *name)
{
    struct in_addr a;

    return inet_pton(AF_INET, name, &a) == 1;
}

/* No name in the DNS holds a colon; a scope (fe80::1%eth0) is left to libpq. */
static bool is_address(const char *name)
{
    return name[0] != '/' && (strchr(name, ':') != NULL || is_v4(name));
}

static bool is_socket(const char *name)
{
    return name[0] == '\0' || name[0] == '/' || name[0] == '@';
}

static bool is_loopback(const char *name)
{
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "::1") == 0 ||
           (is_v4(name) && strncmp(name, "127.", 4) == 0);
}

static int port_check(struct mf_slice port, struct mf_err *err)
{
    uint64_t n = 0;

    if (mf_slice_to_u64(port, &n) < 0 || n == 0 || n > 65535) {
        return mf_err_set(err, MF_EINVAL, KEY ": a port is a number from 1 to 65535");
    }
    return 0;
}

/* As libpq writes it when it tells where it is. */
static char *address_copy(struct mf_slice text)
{
    char *copy = mf_strndup(text.p, text.n);
    char plain[INET6_ADDRSTRLEN];
    struct in6_addr a;

    if (copy == NULL || inet_pton(AF_INET6, copy, &a) != 1 ||
        inet_ntop(AF_INET6, &a, plain, sizeof(plain)) == NULL) {
        return copy;
    }
    mf_free(copy);
    return mf_strndup(plain, strlen(plain));
}

/* Filled field by field, so that fini finds what there is. */
static int host_fill(struct mf_pg_host *h, struct mf_slice name, struct mf_slice addr,
                     struct mf_slice port)
{
    if (name.n == 0) {
        name = addr;
    }
    h->name = mf_strndup(name.p == NULL ? "" : name.p, name.n);
    h->port = mf_strndup(port.p, port.n);
    if (h->name == NULL || h->port == NULL) {
        return MF_ENOMEM;
    }
    if (addr.n == 0 && is_address(h->name)) {
        addr = name;
    }
    if (addr.n > 0) {
        h->addr = address_copy(addr);
        if (h->addr == NULL) {
            return MF_ENOMEM;
        }
    }
    h->is_numeric = h->addr != NULL || is_socket(h->name);
    h->is_local = h->addr != NULL ? is_loopback(h->addr)
                                  : is_socket(h->name) || is_loopback(h->name);
    return 0;
}

static int counts_check(size_t n, const char *names, const char *addrs,
                        const char *ports, struct mf_err *err)
{
    if (n > MF_PG_MAX_HOSTS) {
        return mf_err_set(err, MF_EINVAL, KEY " names %zu hosts, the limit is %d", n,
                          MF_PG_MAX_HOSTS);
    }
    if (names != NULL && addrs != NULL && count(names) != count(addrs)) {
        return mf_err_set(err, MF_EINVAL,
                          KEY " gives %zu host and %zu hostaddr: as many of both, or "
                              "only host",
                          count(names), count(addrs));
    }
    if (ports != NULL && count(ports) != 1 && count(ports) != n) {
        return mf_err_set(err, MF_EINVAL,
                          KEY " gives %zu ports for %zu hosts: one for all, or one for "
                              "each",
                          count(ports), n);
    }
    return 0;
}

int mf_pg_hosts_split(struct mf_pg_dsn *d, const char *names, const char *addrs,
                      const char *ports, struct mf_err *err)
{
    size_t n = names != NULL ? count(names) : addrs != NULL ? count(addrs) : 1;
    int rc = counts_check(n, names, addrs, ports, err);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        struct mf_slice port = part(ports, i);
        struct mf_slice addr = part(addrs, i);

        port = port.n == 0 ? PORT : port;
        rc = port_check(port, err);
        if (rc < 0) {
            return rc;
        }
        d->n_hosts = i + 1;
        rc = host_fill(&d->hosts[i], part(names, i), addr, port);
        if (rc < 0) {
            return rc;
        }
        if (addr.n > 0 && !is_address(d->hosts[i].addr)) {
            return mf_err_set(err, MF_EINVAL,
                              KEY ": a hostaddr is a numeric address; a name goes into "
                                  "host");
        }
    }
    return 0;
}

/* Of the file that is open, so that nobody can change it between look and read. */
static int file_check(int fd, const char *path, struct mf_err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return mf_err_set(err, mf_code_from_errno(errno), FILE_KEY " %s: %s", path,
                          strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return mf_err_set(err, MF_EINVAL, FILE_KEY " %s is not a file", path);
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          FILE_KEY " %s can be read by others (mode %04o): chmod 600",
                          path, (unsigned)(st.st_mode & 07777));
    }
    return 0;
}

static int first_line(char *text, size_t n, const char *path, struct mf_err *err)
{
    size_t len = 0;

    while (len < n && text[len] != '\n') {
        len++;
    }
    if (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    if (len == 0) {
        return mf_err_set(err, MF_EINVAL,
                          FILE_KEY " %s: its first line is empty: write the password "
                                   "there",
                          path);
    }
    if (len > MF_PG_MAX_PASSWORD) {
        return mf_err_set(err, MF_EINVAL,
                          FILE_KEY " %s: its first line is longer than %d bytes", path,
                          MF_PG_MAX_PASSWORD);
    }
    if (memchr(text, '\0', len) != NULL) {
        return mf_err_set(err, MF_EINVAL,
                          FILE_KEY " %s holds a zero byte: a password is text", path);
    }
    text[len] = '\0';
    return 0;
}

static int read_line(int fd, const char *path, char out[MF_PG_MAX_PASSWORD + 1],
                     struct mf_err *err)
{
    char text[MF_PG_MAX_PASSWORD + 3]; /* and an end of line */
    ssize_t n;
    int rc = file_check(fd, path, err);

    if (rc < 0) {
        return rc;
    }
    do {
        n = read(fd, text, sizeof(text));
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return mf_err_set(err, mf_code_from_errno(errno), FILE_KEY " %s: %s", path,
                          strerror(errno));
    }
    rc = first_line(text, (size_t)n, path, err);
    if (rc == 0) {
        memcpy(out, text, strlen(text) + 1);
    }
    explicit_bzero(text, sizeof(text));
    return rc;
}

int mf_pg_password_read(const char *path, char out[MF_PG_MAX_PASSWORD + 1],
                        struct mf_err *err)
{
    /* A pipe without a writer would hold up the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc;

    if (fd < 0) {
        return mf_err_set(err, MF_EINVAL, FILE_KEY " %s: %s", path, strerror(errno));
    }
    rc = read_line(fd, path, out, err);
    (void)close(fd);
    return rc;
}
