/* The inputs of a run as the command line asks for them: from files, or made up. */
#ifndef TOOLS_INPUTS_H
#define TOOLS_INPUTS_H

#include "engine/norma.h"
#include "tools/options.h"

typedef enum fill_kind { FILL_NONE, FILL_RANDOM, FILL_ZEROS, FILL_ONES } fill_kind;

/* What a command that runs models has in its settings, as `inputs`. */
struct input_settings {
  text_list files;  /* [NAME=]FILE */
  text_list shapes; /* NAME=DIMS */
  fill_kind fill;
  uint64_t seed;
};

#define INPUT_DEFAULTS                                                                                                 \
  { .seed = 1 }

/* The entries of such a command's list of options. */
#define INPUT_OPTION(option, settings, member)                                                                         \
  { &shared_options[option], offsetof(settings, inputs.member) }
#define INPUT_OPTIONS(settings)                                                                                        \
  INPUT_OPTION(SHARED_INPUT, settings, files), INPUT_OPTION(SHARED_FILL, settings, fill),                              \
      INPUT_OPTION(SHARED_SEED, settings, seed), INPUT_OPTION(SHARED_SHAPE, settings, shapes)

/* One value per input of the model, in its order. */
typedef struct input_set {
  norma_runtime *runtime; /* whose memory the values are */
  size_t count;
  char **names;         /* copies: the set outlives the model it was made for */
  norma_value **values; /* NULL: not given */
} input_set;

/* Reads and makes the inputs of `model`. `otherwise` is how inputs are made that no -i gives where --fill is not there;
 * with FILL_NONE a missing input is an error, unless it is optional. false: the error was printed. inputs_free is due
 * in either case. */
bool inputs_collect(input_set *set, const struct input_settings *settings, norma_runtime *runtime,
                    const norma_model *model, fill_kind otherwise);
void inputs_free(input_set *set);

/* Binds them to a session of that model, or of one with inputs of the same names. Prints errors. */
bool inputs_bind(const input_set *set, norma_session *session);

/* Whether every --shape names an input of the model; prints the one that does not. */
bool inputs_check_shapes(const struct input_settings *settings, const norma_model *model);

/* The rank and dims that --shape gives the input of that name; -1 if there is none. */
int inputs_find_shape(const text_list *shapes, const char *name, int64_t dims[NORMA_MAX_RANK]);

/* A tensor made up: floats normal with mean 0 and deviation 1, integers 0 to 9 (as far as the type goes), bool either,
 * strings digits. The same seed gives the same numbers on every machine of IEEE arithmetic. */
norma_status fill_value(norma_runtime *runtime, norma_element_type type, int rank, const int64_t *dims, fill_kind kind,
                        uint64_t seed, norma_value **value, norma_error *error);

#endif
