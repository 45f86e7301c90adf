/*
 * The BatchNormalization nodes of a model file: what they are, in which order their statistics follow from each other,
 * and models that compute what they read, for gathering new statistics.
 *
 * The input of a node depends on the statistics of the nodes before it. So nodes get levels: 1 where no other chosen
 * node stands before, else one more than the largest level among those. All nodes of a level can be measured in the
 * same pass over the data.
 */
#ifndef ENGINE_EDIT_BN_ANALYSIS_H
#define ENGINE_EDIT_BN_ANALYSIS_H

#include "engine/graph/model.h"
#include "engine/load/load.h"

/* Where a mean or variance comes from. */
typedef enum statistic_home {
  STATISTIC_VARIABLE,    /* computed, or an input of the graph: nothing can be stored */
  STATISTIC_INITIALIZER, /* of the main graph */
  STATISTIC_CONSTANT,    /* a Constant node of the main graph: its value or value_floats */
  STATISTIC_COPIED       /* one of these behind Identity nodes, or sparse: never changed where it stands */
} statistic_home;

typedef struct statistic {
  statistic_home home;
  const char *name;         /* of the value that holds it */
  bool is_shared;           /* something else reads it too */
  const value *contents;    /* NULL where VARIABLE; borrowed from the study */
  const graph_value *value; /* what the node reads */
} statistic;

typedef struct batch_normalization {
  const node *node;           /* of study->model */
  const char *input, *output; /* names of X and Y */
  int64_t channels;           /* elements of each statistic; -1 where they are not known */
  double epsilon, momentum;
  bool training;
  int mean_input, variance_input; /* of the node */
  statistic mean, variance;
  const norma_tensor *scale, *bias; /* NULL where they are no constants */
  const char *obstacle;             /* why it cannot be measured and replaced; NULL: it can */
  bool chosen;                      /* the user's; to be set before bn_analysis_plan */
  int level;                        /* of chosen nodes: 1 and up */
} batch_normalization;

typedef struct bn_analysis {
  norma_model *model;  /* at level 0 */
  model_source source; /* read again for each stage */
  size_t count;
  batch_normalization *nodes; /* of the main graph, in its order; all that have no obstacle are chosen */
  size_t inner_count;         /* further ones in graphs below nodes, which are left alone */
} bn_analysis;

/* Reads the model. `source`: the path is copied, bytes are borrowed until the study is closed. `options` as for
 * norma_model_load; the level is ignored. Errors: those of norma_model_load. */
norma_status bn_analysis_open(const model_source *source, const norma_load_options *options, bn_analysis **study,
                              norma_error *error);
void bn_analysis_close(bn_analysis *study); /* NULL is fine */

/* Sets the levels of chosen nodes; returns the largest, 0 where none is chosen. Errors: OUT_OF_MEMORY, BUDGET. */
norma_status bn_analysis_plan(bn_analysis *study, int *levels, norma_error *error);

/* How a node normalises in a stage. */
typedef enum batch_mode {
  BATCH_AS_IT_IS, /* as the model says */
  BATCH_FIXED,    /* inference, by the statistics given here, rounded to the model's type */
  BATCH_OWN       /* training: by the statistics of each batch */
} batch_mode;

typedef struct batch_setting {
  batch_mode mode;
  const double *mean, *variance; /* of FIXED; borrowed during the call */
  bool wanted;                   /* X becomes an output of the stage */
  size_t output;                 /* set: which one */
} batch_setting;

/* A model whose only outputs are the inputs X of the nodes that are wanted; what they do not need is not computed. One
 * setting per node of the study. Errors: those of norma_model_load, ARGUMENT where none is wanted. */
norma_status bn_analysis_stage(const bn_analysis *study, const norma_load_options *options, batch_setting *settings,
                               norma_model **stage, norma_error *error);

#endif
