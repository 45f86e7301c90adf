/* Arguments of options as values: readers of single values, and the functions of tools/options.h that take them. */
#ifndef TOOLS_OPTION_VALUES_H
#define TOOLS_OPTION_VALUES_H

#include "engine/norma.h"

/* Memory that lives as long as the settings of one command line. */
typedef struct option_pool option_pool;

/* Zeroed; NULL: out of memory. */
void *option_pool_allocate(option_pool *pool, size_t bytes);

/* Texts in the order in which they were given; borrowed from the command line, or from the pool. */
typedef struct text_list {
  const char **items;
  size_t count, room;
} text_list;

/* "0.485,0.456,0.406" */
typedef struct number_list {
  int count;
  double numbers[16];
} number_list;

/* ---------------------------------------------------------------------------------------------------- single values */

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

/* The index of `text` among names ended by NULL; -1 if it is none of them. */
int find_word(const char *text, const char *const *names);

/* -------------------------------------------------------------------------------------- what an option does with it */

/* Each takes `text` (of a flag: NULL) to `place`; false: it is not what was expected. The place of: */
bool take_flag(void *place, const char *text, option_pool *pool);      /* bool */
bool take_text(void *place, const char *text, option_pool *pool);      /* const char * */
bool take_list(void *place, const char *text, option_pool *pool);      /* text_list: one more */
bool take_names(void *place, const char *text, option_pool *pool);     /* text_list: those between commas */
bool take_count(void *place, const char *text, option_pool *pool);     /* int, at least 0 */
bool take_positive(void *place, const char *text, option_pool *pool);  /* int, at least 1 */
bool take_size(void *place, const char *text, option_pool *pool);      /* size_t */
bool take_duration(void *place, const char *text, option_pool *pool);  /* double: seconds */
bool take_tolerance(void *place, const char *text, option_pool *pool); /* double */

#endif
