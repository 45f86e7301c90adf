/* What norma bn reestimate is told. */
#ifndef TOOLS_BN_BN_SETTINGS_H
#define TOOLS_BN_BN_SETTINGS_H

#include "tools/options.h"

typedef enum estimate_method { METHOD_POPULATION, METHOD_EMA } estimate_method;
typedef enum estimate_order { ORDER_DEFAULT, ORDER_SEQUENTIAL, ORDER_SIMULTANEOUS } estimate_order;
typedef enum picture_layout { LAYOUT_DEFAULT, LAYOUT_NCHW, LAYOUT_NHWC } picture_layout;

struct reestimate_settings {
  struct common_settings common;
  text_list data; /* [NAME=]PATH; further paths stand among the arguments behind the model */
  const char *output_file;
  estimate_method method;
  estimate_order order;
  int batch;       /* 0: not given */
  double momentum; /* negative: not given */
  int epochs;
  bool sample_variance; /* divide by N - 1 */
  text_list only;       /* globs */
  const char *report, *moments;
  text_list from; /* moments files */
  bool skip_bad;
  double scale;          /* 0: not given */
  number_list mean, std; /* count 0: not given */
  picture_layout layout;
};

#endif
