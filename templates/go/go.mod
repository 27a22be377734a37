module spam

go 1.19
