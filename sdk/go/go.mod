module caxton

go 1.26
