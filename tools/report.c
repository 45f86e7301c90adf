#include "tools/report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *printable(const char *text, char *buffer, size_t size) {
  size_t used = 0;
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
    if (*c < 0x20 || *c == 0x7F) {
      if (used + 5 > size) break;
      snprintf(buffer + used, size - used, "\\x%02X", *c);
      used += 4;
    } else {
      if (used + 2 > size) break;
      buffer[used++] = (char)*c;
    }
  }
  buffer[used] = '\0';
  return buffer;
}

void print_text(FILE *file, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
    if (*c < 0x20 || *c == 0x7F) {
      fprintf(file, "\\x%02X", *c);
    } else {
      fputc(*c, file);
    }
  }
}

static void print_line(const char *kind, const char *format, va_list arguments) {
  char raw[2048], text[4096];
  vsnprintf(raw, sizeof raw, format, arguments);
  fflush(stdout);
  fprintf(stderr, "norma: %s%s\n", kind, printable(raw, text, sizeof text));
}

int tool_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line("", format, arguments);
  va_end(arguments);
  return EXIT_REFUSED;
}

int tool_library_error(const char *file, const norma_error *error) {
  const char *message = error->message[0] ? error->message : norma_status_text(error->status);
  bool foreign = error->status == NORMA_ERROR_FORMAT && !strstr(message, "ONNX model");
  const char *kind = foreign ? " (no ONNX model, or a damaged one)" : "";
  if (file && !strstr(message, file)) {
    tool_error("%s: %s%s", file, message, kind);
  } else {
    tool_error("%s%s", message, kind);
  }
  return error->status == NORMA_ERROR_UNSUPPORTED ? EXIT_NO : EXIT_REFUSED;
}

void tool_warning(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print_line("warning: ", format, arguments);
  va_end(arguments);
}

double clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void progress_start(progress *line, bool quiet) {
  *line = (progress){.enabled = !quiet && isatty(STDERR_FILENO), .started = clock_seconds()};
}

void progress_show(progress *line, const char *format, ...) {
  if (!line->enabled) return;
  double now = clock_seconds();
  if (now - line->started < 1 || now - line->last < 0.1) return;
  char raw[256], text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(raw, sizeof raw, format, arguments);
  va_end(arguments);
  printable(raw, text, 79); /* one line of a narrow terminal, or overwriting would not work */
  fprintf(stderr, "\r\033[K%s", text);
  fflush(stderr);
  line->last = now;
  line->shown = true;
}

void progress_clear(progress *line) {
  if (!line->shown) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  line->shown = false;
}

struct ticker {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool stop;
  const char *what;
  progress line;
};

static void *tick(void *argument) {
  ticker *ticker = argument;
  pthread_mutex_lock(&ticker->lock);
  while (!ticker->stop) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_cond_timedwait(&ticker->ended, &ticker->lock, &until);
    if (!ticker->stop) progress_show(&ticker->line, "%s, %.0f s", ticker->what, clock_seconds() - ticker->line.started);
  }
  progress_clear(&ticker->line);
  pthread_mutex_unlock(&ticker->lock);
  return NULL;
}

ticker *ticker_start(const char *what, bool quiet) {
  progress line;
  progress_start(&line, quiet);
  ticker *ticker = line.enabled ? calloc(1, sizeof *ticker) : NULL;
  if (!ticker) return NULL;
  ticker->what = what;
  ticker->line = line;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&ticker->lock, NULL);
  pthread_cond_init(&ticker->ended, &attributes);
  pthread_condattr_destroy(&attributes);
  if (pthread_create(&ticker->thread, NULL, tick, ticker) == 0) return ticker;
  pthread_cond_destroy(&ticker->ended);
  pthread_mutex_destroy(&ticker->lock);
  free(ticker);
  return NULL;
}

void ticker_stop(ticker *ticker) {
  if (!ticker) return;
  pthread_mutex_lock(&ticker->lock);
  ticker->stop = true;
  pthread_cond_signal(&ticker->ended);
  pthread_mutex_unlock(&ticker->lock);
  pthread_join(ticker->thread, NULL);
  pthread_cond_destroy(&ticker->ended);
  pthread_mutex_destroy(&ticker->lock);
  free(ticker);
}

const char *bytes_text(double bytes, char *text, size_t size) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
    bytes /= 1024;
    unit++;
  }
  snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

const char *count_text(uint64_t count, char *text, size_t size) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
  size_t used = 0;
  for (int i = 0; i < length && used + 2 < size; i++) {
    if (i > 0 && (length - i) % 3 == 0) text[used++] = ',';
    text[used++] = digits[i];
  }
  text[used] = '\0';
  return text;
}
