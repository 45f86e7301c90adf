#include "tools/bench/process_state.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double process_cpu_seconds(void) {
  return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double thread_cpu_seconds(void) {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

void sleep_milliseconds(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* Whether another thread of this process computes, or waits for a CPU to do so. */
static bool others_run(void) {
  DIR *folder = opendir("/proc/self/task");
  bool runs = false;
  for (struct dirent *entry; folder && !runs && (entry = readdir(folder)) != NULL;) {
    char path[300], text[128] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
    FILE *file = atoi(entry->d_name) > 0 && atoi(entry->d_name) != gettid() ? fopen(path, "r") : NULL;
    if (!file) continue;
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    const char *end = strrchr(text, ')'); /* of the thread's name, which the state follows */
    runs = end && end[1] == ' ' && end[2] == 'R';
    fclose(file);
  }
  if (folder) closedir(folder);
  return runs;
}

double process_come_to_rest(void) {
  double start = process_cpu_seconds();
  for (int i = 0, quiet = 0; i < 2000 && quiet < 2; i++) {
    quiet = others_run() ? 0 : quiet + 1;
    sleep_milliseconds(1);
  }
  return process_cpu_seconds() - start;
}

long process_status_kib(const char *name) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') kib = atol(line + strlen(name) + 1);
  }
  if (file) fclose(file);
  return kib;
}

int process_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  int count = -2; /* the entries . and .. */
  if (!folder) return -1;
  while (readdir(folder)) count++;
  closedir(folder);
  return count - 1; /* the folder itself */
}
