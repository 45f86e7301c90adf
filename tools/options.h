/* Command-line options: parsed by the tables of tools/manual.h into one struct for all subcommands. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include "engine/norma.h"
#include "tools/manual.h"

typedef enum fill_kind { FILL_NONE, FILL_RANDOM, FILL_ZEROS, FILL_ONES } fill_kind;

typedef enum estimate_method { METHOD_POPULATION, METHOD_EMA } estimate_method;
typedef enum estimate_order { ORDER_DEFAULT, ORDER_SEQUENTIAL, ORDER_SIMULTANEOUS } estimate_order;
typedef enum picture_layout { LAYOUT_DEFAULT, LAYOUT_NCHW, LAYOUT_NHWC } picture_layout;

/* "0.485,0.456,0.406" */
typedef struct number_list {
  int count;
  double numbers[16];
} number_list;

/* Strings are borrowed from the arguments of main. */
struct settings {
  /* common */
  int threads;         /* 0: default */
  int level;           /* -1: not given */
  char *disabled_text; /* holds the names below */
  const char **disabled;
  size_t disabled_count;
  bool exact;
  size_t max_memory; /* 0: no limit */
  double timeout;    /* seconds; 0: not given */
  bool quiet;
  /* inputs */
  const char **inputs; /* [NAME=]FILE */
  size_t input_count;
  const char **shapes; /* NAME=DIMS */
  size_t shape_count;
  fill_kind fill;
  uint64_t seed;
  /* run */
  const char *output_folder;
  const char **dumps;
  size_t dump_count;
  int top; /* 0: not given */
  const char *profile;
  /* inspect, bench, ops */
  bool json;
  const char *dot;
  /* test, compare */
  double rtol, atol, max_error; /* negative: not given */
  const char *manifest, *filter;
  int jobs;
  bool verbose;
  /* bench */
  int warmup, runs; /* -1: not given */
  double duration;  /* negative: not given */
  /* compare */
  int levels[2]; /* -1: not given */
  /* optimize, bn */
  const char *output_file;
  bool verify;
  /* bn reestimate */
  const char **data;
  size_t data_count;
  const char **only; /* globs */
  size_t only_count;
  estimate_method method;
  estimate_order order;
  bool sample_variance; /* divide by N - 1 */
  double momentum;      /* negative: not given */
  int epochs;
  int batch; /* 0: not given */
  const char *report, *moments;
  const char **from; /* moments files */
  size_t from_count;
  bool skip_bad;
  number_list mean, std; /* count 0: not given */
  double scale;          /* 0: not given */
  picture_layout layout;

  const char *const *arguments; /* what is left: models, folders */
  size_t argument_count;
};

/* Parses argv[0 .. argc - 1], where argv[0] is the subcommand's name. false: the program is to leave with *exit_code,
 * everything has been said. settings_free is due in either case. */
bool settings_parse(struct settings *settings, const manual_command *command, int argc, char **argv, int *exit_code);
void settings_free(struct settings *settings);

/* "2GiB", "512M", "1.5GB", "4096" into bytes; K, M, G and T are powers of 1024 unless followed by B alone. */
bool parse_size(const char *text, size_t *bytes);
/* "5s", "100ms", "2min", "1h", "1.5" (seconds). */
bool parse_duration(const char *text, double *seconds);
/* "1x3x224x224", "scalar" for rank 0. Returns the rank, -1 if it is no shape. */
int parse_shape(const char *text, int64_t dims[NORMA_MAX_RANK]);
/* A whole number from `low` to `high`. */
bool parse_integer(const char *text, int64_t low, int64_t high, int64_t *number);
/* A finite number that is not negative. */
bool parse_tolerance(const char *text, double *number);

/* Numbers separated by commas; false also for none and for more than fit. */
bool parse_numbers(const char *text, number_list *list);
/* A number that may have a sign, or a fraction such as 1/255. */
bool parse_real(const char *text, double *number);

/* What the library is told. `level` -1 takes that of the settings. */
norma_runtime_options settings_runtime(const struct settings *settings);
norma_load_options settings_load(const struct settings *settings, norma_runtime *runtime, int level);

/* Creates the runtime of these settings; NULL after printing why not. */
norma_runtime *settings_create_runtime(const struct settings *settings);

#endif
