/*
 * norma test: finds tests below folders and runs each in a process of its own, so that a crash, a hang or a leak of one
 * fails that one alone. A child sends its test_result through a pipe; one that ends without, or takes too long, has
 * failed.
 */
#include "tools/command.h"
#include "tools/manifest.h"
#include "tools/report.h"
#include "tools/test_case.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_DEPTH = 32, DEFAULT_TIMEOUT = 60 };

struct test_settings {
  struct common_settings common;
  double rtol, atol; /* negative: not given */
  const char *manifest, *filter;
  int jobs;
  bool verbose;
};

typedef struct test_entry {
  char *path;
  bool done;
  test_result result;
} test_entry;

typedef struct child {
  pid_t process; /* 0: free */
  int pipe;
  size_t entry;
  size_t received;
  test_result result;
  double deadline;
} child;

typedef struct test_suite {
  const struct test_settings *settings;
  tolerance otherwise;
  manifest manifest;
  test_entry *entries;
  size_t count, capacity;
  size_t printed; /* entries whose result was shown */
  child *children;
  int jobs, running;
  double timeout;
  progress progress;
} test_suite;

/* ---------------------------------------------------------------------------------------------------------- finding */

static bool add_entry(test_suite *suite, const char *path) {
  if (suite->settings->filter && !path_matches(suite->settings->filter, path)) return true;
  if (suite->count == suite->capacity) {
    size_t capacity = suite->capacity ? suite->capacity * 2 : 64;
    test_entry *entries = realloc(suite->entries, capacity * sizeof *entries);
    if (!entries) return false;
    suite->entries = entries;
    suite->capacity = capacity;
  }
  test_entry *entry = &suite->entries[suite->count];
  memset(entry, 0, sizeof *entry);
  entry->path = strdup(path);
  suite->count += entry->path != NULL;
  return entry->path != NULL;
}

static int keep_visible(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static bool find_tests(test_suite *suite, const char *folder, int depth) {
  struct dirent **names = NULL;
  bool good = true;
  if (test_case_exists(folder)) return add_entry(suite, folder);
  if (depth > MAX_DEPTH) return true;
  int count = scandir(folder, &names, keep_visible, alphasort);
  for (int i = 0; i < count; i++) {
    size_t size = strlen(folder) + strlen(names[i]->d_name) + 2;
    char *path = good ? malloc(size) : NULL;
    struct stat facts;
    if (path) {
      snprintf(path, size, folder[strlen(folder) - 1] == '/' ? "%s%s" : "%s/%s", folder, names[i]->d_name);
      if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) good = find_tests(suite, path, depth + 1);
    } else {
      good = false;
    }
    free(path);
    free(names[i]);
  }
  free(names);
  return good;
}

/* A slash at the end would leave the folder without a name, which manifests and filters go by. */
static bool find_below(test_suite *suite, const char *argument) {
  struct stat facts;
  char *folder = strdup(argument);
  size_t length = folder ? strlen(folder) : 0;
  while (length > 1 && folder[length - 1] == '/') folder[--length] = '\0';
  bool is_there = folder && stat(folder, &facts) == 0, good = is_there && S_ISDIR(facts.st_mode);
  if (folder && !good) {
    tool_error("%s: %s", argument, is_there ? "not a folder" : strerror(errno));
  } else if (!folder || !find_tests(suite, folder, 0)) {
    tool_error("%s: out of memory", argument);
    good = false;
  }
  free(folder);
  return good;
}

static bool find_all(test_suite *suite) {
  const struct common_settings *common = &suite->settings->common;
  const char *filter = suite->settings->filter;
  for (size_t i = 0; i < common->argument_count; i++) {
    if (!find_below(suite, common->arguments[i])) return false;
  }
  if (suite->count > 0) return true;
  tool_error("%s: no tests found (folders with model.onnx and test_data_set_0)%s%s", common->arguments[0],
             filter ? " that match " : "", filter ? filter : "");
  return false;
}

/* -------------------------------------------------------------------------------------------------------- processes */

static void write_all(int file, const void *bytes, size_t size) {
  const char *at = bytes;
  while (size > 0) {
    ssize_t written = write(file, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    at += written;
    size -= (size_t)written;
  }
}

static bool start_child(test_suite *suite, child *child, size_t index) {
  int ends[2];
  tolerance tolerance = manifest_find(&suite->manifest, suite->entries[index].path, &suite->otherwise);
  if (pipe(ends) != 0) {
    tool_error("cannot start a test: %s", strerror(errno));
    return false;
  }
  fflush(stdout); /* what is buffered must not be printed by both */
  pid_t process = fork();
  if (process < 0) {
    tool_error("cannot start a test: %s", strerror(errno));
    close(ends[0]);
    close(ends[1]);
    return false;
  }
  if (process == 0) {
    test_result result;
    close(ends[0]);
    test_case_run(&suite->settings->common, suite->entries[index].path, &tolerance, &result);
    write_all(ends[1], &result, sizeof result);
    exit(0); /* not _exit: sanitizers look for leaks at exit */
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  *child =
      (struct child){.process = process, .pipe = ends[0], .entry = index, .deadline = clock_seconds() + suite->timeout};
  suite->running++;
  return true;
}

/* Waits for a child whose pipe is closed or whose time is over, and settles its result. */
static void finish_child(test_suite *suite, child *child, bool late) {
  test_entry *entry = &suite->entries[child->entry];
  int status = 0;
  if (late) kill(child->process, SIGKILL);
  while (waitpid(child->process, &status, 0) < 0 && errno == EINTR) continue;
  close(child->pipe);
  entry->result = child->result;
  entry->done = true;
  char *text = entry->result.text;
  size_t size = sizeof entry->result.text;
  bool bad = true;
  if (late) {
    snprintf(text, size, "timeout: not done after %g s", suite->timeout);
  } else if (WIFSIGNALED(status)) {
    snprintf(text, size, "crash: %s", strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    snprintf(text, size, "crash: the test's process ended with exit code %d", WEXITSTATUS(status));
  } else if (child->received != sizeof child->result) {
    snprintf(text, size, "crash: the test's process ended without a result");
  } else {
    bad = false;
  }
  if (bad) entry->result.outcome = TEST_FAILED;
  child->process = 0;
  suite->running--;
}

/* Reads what a child has sent; true when it has ended, which closes its end. */
static bool receive(child *child) {
  char spare; /* a full result is followed by nothing but the end */
  size_t room = sizeof child->result - child->received;
  ssize_t count = read(child->pipe, room > 0 ? (char *)&child->result + child->received : &spare, room > 0 ? room : 1);
  if (count < 0) return errno != EINTR;
  if (room > 0) child->received += (size_t)count;
  return count == 0;
}

/* Waits until something happens to a child, and settles those that have ended. */
static void wait_children(test_suite *suite) {
  struct pollfd *polls = calloc((size_t)suite->jobs, sizeof *polls);
  if (!polls) return; /* the next call may have more luck; deadlines are checked below by then */
  double now = clock_seconds(), wait = 1;
  for (int i = 0; i < suite->jobs; i++) {
    const child *child = &suite->children[i];
    polls[i] = (struct pollfd){.fd = child->process ? child->pipe : -1, .events = POLLIN};
    if (child->process && child->deadline - now < wait) wait = child->deadline - now;
  }
  poll(polls, (nfds_t)suite->jobs, wait > 0 ? (int)(wait * 1000) + 1 : 0);
  now = clock_seconds();
  for (int i = 0; i < suite->jobs; i++) {
    child *child = &suite->children[i];
    if (!child->process) continue;
    bool ended = polls[i].revents != 0 && receive(child);
    if (ended) {
      finish_child(suite, child, false);
    } else if (now >= child->deadline) {
      finish_child(suite, child, true);
    }
  }
  free(polls);
}

/* ---------------------------------------------------------------------------------------------------------- results */

/* Shows results in the order of the tests, as far as they are there. */
static void show_results(test_suite *suite) {
  for (; suite->printed < suite->count && suite->entries[suite->printed].done; suite->printed++) {
    const test_entry *entry = &suite->entries[suite->printed];
    static const char *const words[] = {"passed", "FAILED", "skipped"};
    if (entry->result.outcome != TEST_FAILED && !suite->settings->verbose) continue;
    progress_clear(&suite->progress);
    fprintf(stdout, "%s ", words[entry->result.outcome]);
    print_text(stdout, entry->path);
    if (entry->result.outcome != TEST_PASSED) {
      fputs(": ", stdout);
      print_text(stdout, entry->result.text);
    }
    fputc('\n', stdout);
  }
}

typedef struct reason_count {
  const char *reason;
  size_t count;
} reason_count;

static int compare_reasons(const void *a, const void *b) {
  return strcmp(((const reason_count *)a)->reason, ((const reason_count *)b)->reason);
}

static int compare_counts(const void *a, const void *b) {
  const reason_count *left = a, *right = b;
  if (left->count != right->count) return left->count > right->count ? -1 : 1;
  return strcmp(left->reason, right->reason);
}

/* What skipped tests lack, most frequent first. */
static void show_skipped(const test_suite *suite, size_t skipped) {
  reason_count *reasons = calloc(skipped, sizeof *reasons);
  if (!reasons) return;
  size_t count = 0, distinct = 0;
  for (size_t i = 0; i < suite->count; i++) {
    const test_result *result = &suite->entries[i].result;
    if (suite->entries[i].done && result->outcome == TEST_SKIPPED) reasons[count++] = (reason_count){result->reason, 1};
  }
  qsort(reasons, count, sizeof *reasons, compare_reasons);
  for (size_t i = 0; i < count; i++) {
    if (distinct > 0 && strcmp(reasons[distinct - 1].reason, reasons[i].reason) == 0) {
      reasons[distinct - 1].count++;
    } else {
      reasons[distinct++] = reasons[i];
    }
  }
  qsort(reasons, distinct, sizeof *reasons, compare_counts);
  printf("skipped: %zu unsupported\n", skipped);
  for (size_t i = 0; i < distinct; i++) {
    printf("%6zu  ", reasons[i].count);
    print_text(stdout, reasons[i].reason);
    putchar('\n');
  }
  free(reasons);
}

static int show_summary(const test_suite *suite) {
  size_t counts[3] = {0};
  for (size_t i = 0; i < suite->count; i++) {
    if (suite->entries[i].done) counts[suite->entries[i].result.outcome]++;
  }
  if (counts[TEST_SKIPPED] > 0) show_skipped(suite, counts[TEST_SKIPPED]);
  printf("%zu passed, %zu failed, %zu skipped\n", counts[TEST_PASSED], counts[TEST_FAILED], counts[TEST_SKIPPED]);
  return counts[TEST_FAILED] > 0 ? EXIT_NO : EXIT_YES;
}

static bool run_all(test_suite *suite) {
  size_t next = 0;
  bool good = true;
  while (suite->running > 0 || (good && next < suite->count)) {
    for (int i = 0; i < suite->jobs && good && next < suite->count; i++) {
      if (suite->children[i].process) continue;
      good = start_child(suite, &suite->children[i], next);
      next += good;
    }
    if (suite->running > 0) wait_children(suite);
    show_results(suite);
    progress_show(&suite->progress, "%zu of %zu tests", suite->printed, suite->count);
  }
  progress_clear(&suite->progress);
  return good;
}

static int test(const void *given) {
  const struct test_settings *settings = given;
  test_suite suite = {.settings = settings,
                      .otherwise = tolerance_default(),
                      .jobs = settings->jobs,
                      .timeout = settings->common.timeout > 0 ? settings->common.timeout : DEFAULT_TIMEOUT};
  int code = EXIT_REFUSED;
  if (settings->rtol >= 0) suite.otherwise.rtol = settings->rtol;
  if (settings->atol >= 0) suite.otherwise.atol = settings->atol;
  progress_start(&suite.progress, settings->common.quiet);
  suite.children = calloc((size_t)suite.jobs, sizeof *suite.children);
  if (!suite.children) {
    tool_error("out of memory for %d jobs", suite.jobs);
  } else if ((!settings->manifest || manifest_load(&suite.manifest, settings->manifest, &suite.otherwise)) &&
             find_all(&suite) && run_all(&suite)) {
    code = show_summary(&suite);
  }
  for (size_t i = 0; i < suite.count; i++) free(suite.entries[i].path);
  free(suite.entries);
  free(suite.children);
  manifest_free(&suite.manifest);
  return code;
}

static const command_option options[] = {
    {&shared_options[SHARED_RTOL], offsetof(struct test_settings, rtol)},
    {&shared_options[SHARED_ATOL], offsetof(struct test_settings, atol)},
    {&(const tool_option){"manifest", 0, "FILE", "settings for single tests, see below", NULL, take_text},
     offsetof(struct test_settings, manifest)},
    {&(const tool_option){"filter", 0, "GLOB", "only tests whose path or folder name matches", NULL, take_text},
     offsetof(struct test_settings, filter)},
    {&(const tool_option){"jobs", 0, "N", "tests that run at the same time (default: 1)", "a number of at least 1",
                          take_positive},
     offsetof(struct test_settings, jobs)},
    {&shared_options[SHARED_VERBOSE], offsetof(struct test_settings, verbose)},
    {NULL, 0},
};

const command command_test = {
    .name = "test",
    .synopsis = "DIR... [--rtol X] [--atol X] [--manifest FILE] [--filter GLOB] [--jobs N] [--verbose]",
    .summary = "run tests in the layout of ONNX's backend tests",
    .text =
        "A test is a folder, at any depth below DIR, with model.onnx and test_data_set_N/input_I.pb, output_I.pb. "
        "Floating-point outputs may differ by atol 1e-7 + rtol 1e-3 * |expected|, all others must be equal; types and "
        "shapes must agree. Each test runs in a process of its own: a crash or a timeout fails that test alone. A "
        "model that this build refuses as unsupported is skipped and counted. Prints a line per failure with the "
        "worst element, and at the end `N passed, N failed, N skipped`. Exit code 1 if any test failed.\n"
        "Each line of a manifest is a glob over the test's path or folder name, then settings; the last line that "
        "matches wins; # begins a comment. Settings: rtol=X, atol=X, max=X (largest error over the output's largest "
        "magnitude), compare=top1 (the largest element of each row is the same one), compare=cosine min=X "
        "(similarity of expected and actual), compare=domain (random output: only type, shape and that each value "
        "is 0 or 1).\n",
    .options = options,
    .min_arguments = 1,
    .max_arguments = -1,
    .argument = "DIR",
    .settings_size = sizeof(struct test_settings),
    .defaults = &(const struct test_settings){.rtol = -1, .atol = -1, .jobs = 1},
    .run = test,
};
