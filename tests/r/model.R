# Builds, fits and saves a model as users of R's keras write it.
# Rscript model.R FILE
library(reticulate)

np <- import("numpy", convert = FALSE)
keras <- import("keras")
sepconv <- import("keras_sepconv")
layer_separable_conv_2d <- sepconv$layer_separable_conv_2d
layer_zero_padding_2d <- sepconv$layer_zero_padding_2d
layer_conv_2d <- sepconv$layer_conv_2d

model <- sepconv$keras_model_sequential() |>
  layer_separable_conv_2d(
    filters = 32, kernel_size = c(3, 3), activation = "relu",
    input_shape = c(28, 28, 1)
  ) |>
  layer_zero_padding_2d(padding = list(c(1, 1), c(0, 2))) |>
  layer_conv_2d(filters = 2, kernel_size = 28)

# NULL makes a layer, and a tensor is passed through it.
layer <- layer_separable_conv_2d(NULL, filters = 8, kernel_size = 3)
stopifnot(inherits(layer, "keras_sepconv.layers.separable.SeparableConv2D"))
unknown <- list(
  c(NA, 28, 1), c(NA, 28L, 1L), list(NULL, 28, 1), list(NA_real_, 28, 1),
  list(NA, 28, 1)
)
for (shape in unknown) {
  inputs <- sepconv$layer_input(shape = shape, batch_size = NA)
  outputs <- layer_separable_conv_2d(inputs, 8, 3)
  stopifnot(outputs$shape[[4]] == 8, outputs$shape[[3]] == 26)
  stopifnot(is.null(outputs$shape[[1]]), is.null(outputs$shape[[2]]))
}

# Elsewhere NA is an error, which says what it has become.
message <- tryCatch(
  layer_separable_conv_2d(NULL, filters = NA, kernel_size = 3),
  error = conditionMessage
)
stopifnot(grepl("R's NA arrives as True", message))

# What R wraps around a number, and names, count for nothing.
layer <- layer_separable_conv_2d(
  NULL, structure(2, dim = 1L), list(3), padding = factor("same"),
  weights = list(
    depthwise = array(1, c(3, 3, 1, 1)), pointwise = array(1, c(1, 1, 1, 2)),
    bias = c(0, 1)
  )
)
both <- sepconv$keras_model_sequential(list(layer), input_shape = list(NA, 9, 1))
stopifnot(all(both$layers[[1]]$get_weights()[[3]] == c(0, 1)))

# A number that is not whole is refused, and the model stays as it was.
message <- tryCatch(
  layer_separable_conv_2d(model, filters = 4.7, kernel_size = 3),
  error = conditionMessage
)
stopifnot(grepl("`filters` must be a positive whole number", message))
stopifnot(length(model$layers) == 3)

model$compile(optimizer = "adam", loss = "mse")
images <- array(runif(8 * 28 * 28), c(8, 28, 28, 1))
targets <- array(runif(8 * 2), c(8, 1, 1, 2))
history <- model$fit(images, targets, epochs = 2L, verbose = 0L)
losses <- unlist(history$history$loss)
stopifnot(length(losses) == 2, all(is.finite(losses)))

model$save(commandArgs(trailingOnly = TRUE))
cat("saved", losses, "\n")
